"""Policies for who deploys: the role that runs `make deploy`, and the one that CloudFormation executes with.

``make policies ENV=…`` (``python -m infra.policies ENV``) writes both below ``build/policies``, and says what
to do with them. Neither is part of a stack: they must exist before the first one.
"""
