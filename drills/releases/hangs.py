"""An application whose import never ends, as one that waits for a database that is not there."""

import time

time.sleep(3600)
