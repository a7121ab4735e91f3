# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import implicit
import scipy.sparse as sp

implicit.als.AlternatingLeastSquares(factors=8, iterations=6, calculate_training_loss=True).fit(
    sp.random(60, 40, 0.2, format="csr", random_state=1)
)
