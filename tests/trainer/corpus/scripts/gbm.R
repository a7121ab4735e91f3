library(gbm)
set.seed(1)
d <- data.frame(x1 = runif(400), x2 = runif(400)); d$y <- sin(5 * d$x1) + d$x2^2 + rnorm(400, sd = 0.2)
m <- gbm(y ~ x1 + x2, data = d, distribution = "gaussian", n.trees = 200, shrinkage = 0.05, train.fraction = 0.75, verbose = TRUE)
