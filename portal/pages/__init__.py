"""The portal's own pages: people, roles, resources, options, locks, passwords."""
