"""The product's verbs for other programs: jobs over HTTP with a small page, tools over MCP."""
