"""One run on several machines: workers do its steps, which the shared journal keeps, and a queue hands out.

The queue (DBOS, on the journal's own database) knows ids only, and guarantees nothing that matters: it may hand out a
chunk twice or forget it. That nothing is sent twice and nothing is left out, the journal sees to: each step goes from
`pending` to `sent` once, and who conducts the run hands out what is still pending until nothing is.
"""
