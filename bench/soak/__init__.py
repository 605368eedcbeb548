"""A long day: mixed traffic through one proxy, and whether its memory, descriptors and threads stay what they were."""
