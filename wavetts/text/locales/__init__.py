"""temporary"""
def scanner(language):
    from wavetts.text.tokens import Scanner
    return Scanner([], [], [], {}, language)
def stops(language):
    return lambda t, p: False
