library(nnet)
set.seed(1)
nnet(Species ~ ., data = iris, size = 4, decay = 5e-4, maxit = 300)
