"""The portal's pages about web applications."""
