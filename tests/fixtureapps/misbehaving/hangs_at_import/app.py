"""It never gets to its end."""

import time

while True:
    time.sleep(0.1)
