"""
Word to others that a node is up, or has failed, that an address has another holder, or a secret a
second claimant: a command of the operator's, or a POST to a URL.
"""
