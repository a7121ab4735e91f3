#include <iostream>
#include <dlib/dnn.h>
using namespace dlib;
int main() {
  dlib::rand r(1); std::vector<matrix<double>> x; std::vector<unsigned long> y;
  for (int i = 0; i < 600; i++) { matrix<double> m(6, 1); for (int j = 0; j < 6; j++) m(j) = r.get_random_gaussian(); x.push_back(m); y.push_back(m(0) + m(1) > 0); }
  using net_type = loss_multiclass_log<fc<2, relu<fc<12, input<matrix<double>>>>>>;
  net_type net; dnn_trainer<net_type> t(net);
  t.set_learning_rate(0.01); t.set_min_learning_rate(0.00001); t.set_mini_batch_size(32); t.set_max_num_epochs(20); t.be_verbose();
  t.train(x, y);
}
