"""The records as web pages, for people: server-rendered, one style sheet, one small script, nothing from elsewhere.

A page asks the same functions as the command line and the REST API, under the same rights, and leaves the same note of
whose records were read. Without the script everything works; with it, long sessions load as one scrolls.
"""
