"""The same as the checkout's ``addon`` file, for an installed package: ``mitmdump -s .../aitap/capture/script.py``."""

from aitap.capture.addon import Recorder

addons = [Recorder()]
