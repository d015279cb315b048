"""Dead letters: what could not be run, kept with its reason until a person sends it again or deletes it.

Workers put, the controller counts and brings in what SQS itself gave up, `fleet dead` lists and redrives.
"""
