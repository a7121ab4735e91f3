"""Jobs, budgets and offers as Block Kit: pure functions from facts to messages and modals.

A view touches nothing. It takes the catalogue it speaks through, returns blocks that Slack accepts as they are, and
puts the whole fact into `text` as well: phones notify with that and nothing else.
"""
