"""Where units of work are done: in this process, in others, or on a cluster. A choice that changes no number."""
