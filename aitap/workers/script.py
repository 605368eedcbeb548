"""What mitmproxy loads last in a worker."""

from aitap.workers import worker

addons = [worker.membership]
