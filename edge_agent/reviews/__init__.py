"""What people say of parts: the record of a review with its drawing, and the one rule of what several of them mean.

Nothing here reads a file or asks who is there: values in, values out.
"""
