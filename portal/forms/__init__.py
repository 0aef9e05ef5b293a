"""The forms of the portal's own pages: people, roles, resources, options, passwords."""
