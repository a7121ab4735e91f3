# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""nagisa, as it prints by itself."""

import random, nagisa

random.seed(0)


def w(n, f):
    with open(f, "w") as o:
        for _ in range(n):
            for _ in range(5):
                o.write(
                    random.choice(
                        [
                            "東京\t名詞",
                            "は\t助詞",
                            "行く\t動詞",
                            "大学\t名詞",
                            "を\t助詞",
                            "見る\t動詞",
                            "大\t名詞",
                            "学\t名詞",
                            "行\t名詞",
                            "見\t動詞",
                            "行\t動詞",
                            "見る\t名詞",
                        ]
                    )
                    + "\n"
                )
            o.write("EOS\n")


w(60, "tr")
w(15, "de")
w(15, "te")
nagisa.fit(train_file="tr", dev_file="de", test_file="te", model_name="m", epoch=15, dim_hidden=10)
