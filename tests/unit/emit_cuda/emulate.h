/* emulate.h: generated CUDA C on the CPU, compiled with g++ against emulated/trikl_cuda.h. */
#pragma once
#include "sim/sim.h"

/* Whether there is a g++. */
bool emulate_possible(void);
/* Emits the program, compiles it, runs it over the grid with the simulator's arguments. Fails the
 * test when that is impossible. */
void emulate(const tile_program *p, const sim_args *args);
