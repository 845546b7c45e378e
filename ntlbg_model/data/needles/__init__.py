"""Rendered long videos with needles: short flashes of a coloured shape that questions ask about.

The videos are made, not found, so every question has exact gold frames, and no footage has to be
downloaded or may not be passed on. Imports nothing by itself; the parts:

    vocabulary   every word of the questions and answers, and the looks held out of training
    plan         what one video contains: options, plan, and the seeded draw of a plan
    shapes, scenes, glitches, footage   what can be drawn
    render       a plan to frames
    questions    a plan to questions with gold frames
    write        a whole set to disk, in LongVideoBench's layout
"""
