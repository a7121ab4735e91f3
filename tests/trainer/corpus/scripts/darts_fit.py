# the quickstart's NBEATS example on a made-up series
import numpy as np
from darts import TimeSeries
from darts.models import NBEATSModel

t = np.arange(200)
ts = TimeSeries.from_values((np.sin(t / 6) + 0.1 * np.random.default_rng(0).normal(size=200)).astype("float32"))
train, val = ts[:160], ts[160:]
model = NBEATSModel(
    input_chunk_length=24,
    output_chunk_length=12,
    n_epochs=4,
    num_stacks=2,
    layer_widths=16,
    random_state=0,
    pl_trainer_kwargs={"accelerator": "cpu"},
)
model.fit(train, val_series=ts[124:])
pred = model.predict(series=train, n=24)
