"""Who looks at it: the buttons in Stash and the command line. Imports everything above."""
