"""The Slack face of Hourglass: everything that a person types, sees and presses."""
