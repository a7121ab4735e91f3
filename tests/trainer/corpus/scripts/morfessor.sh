python3 - > words.txt <<'P'
import random
random.seed(0)
print("\n".join(random.choice(["un", "re", "pre", ""]) + random.choice(["walk", "talk", "cook", "play", "paint", "count", "mark", "load"]) + random.choice(["ing", "ed", "er", "ers", "s", "able", ""]) for _ in range(400)))
P
exec morfessor-train --randseed 1 words.txt
