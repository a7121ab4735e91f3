"""The control plane: jobs, money, deadlines and machines; no Slack, and no cloud SDK outside `jobs.providers`."""
