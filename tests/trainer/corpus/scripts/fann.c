#include <stdio.h>
#include <stdlib.h>
#include <fann.h>
static void FANN_API cb(unsigned n, unsigned in, unsigned out, fann_type *i, fann_type *o) {
  i[0] = (rand() % 200 - 100) / 100.0; i[1] = (rand() % 200 - 100) / 100.0; o[0] = i[0] * i[1] > 0 ? 1 : -1; }
int main(void) {
  srand(7);
  struct fann *a = fann_create_standard(3, 2, 6, 1);
  fann_set_activation_function_hidden(a, FANN_SIGMOID_SYMMETRIC); fann_set_activation_function_output(a, FANN_SIGMOID_SYMMETRIC);
  struct fann_train_data *d = fann_create_train_from_callback(120, 2, 1, cb);
  fann_randomize_weights(a, -0.5, 0.5);
  fann_train_on_data(a, d, 500, 20, 0.005f);
  return 0; }
