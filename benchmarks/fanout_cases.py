def run(**k): return {}
def print_tables(r): pass
