"""How fast the pipeline is: each module measures one thing against its goal, beside its peers, in one run."""
