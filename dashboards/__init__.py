"""The dashboards, made of one source: ``python -m dashboards`` writes them anew, ``--check`` says whether they are."""
