"""ZigZag, the package `zigzag-dse`, as a second opinion on eyeriss_like and simba_like; an optional extra.

It gets our sizes, meshes and energies, and answers with another model, so its figures differ from ours by design:

- Its search is free where the templates are not: any temporal loop may stand at any level, in any order. It can find
  less energy than the optimum of the template's mapspace.
- It unrolls dimensions that a mesh does not divide, and counts the idle units.
- Its cycles hold the first fills and the last drains of every memory and ports that are busy at once; ours stalls only.
- Inputs of neighbouring tiles overlap differently, and partial sums have the words' width.
"""
