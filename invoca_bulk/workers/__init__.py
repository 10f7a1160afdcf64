"""One run on several machines: a queue distributes its steps to workers, and a shared journal records them.

The queue (DBOS, on the journal's database) stores only ids, and nothing depends on its guarantees: it may deliver a
chunk twice or lose it. The journal ensures that each step is sent exactly once: a step goes from `pending` to `sent`
once, and the run's coordinator enqueues pending steps until there are none.
"""
