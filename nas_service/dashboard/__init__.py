"""The web pages: studies, trials, families, data sets and workers, live and without a build step.

Nothing is imported here: figures and words are used where there is no server too.
"""
