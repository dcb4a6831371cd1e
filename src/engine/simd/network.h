/* A model as the kernel sees it: where in the workspace the rows of its layers lie, and which parameters
 * share a tile. */
#ifndef LS_ENGINE_SIMD_NETWORK_H
#define LS_ENGINE_SIMD_NETWORK_H

#include "engine/engine.h"
#include "engine/simd/kernel.h"

/* Describes the engine's model for vectors of so many lanes and groups of at most max_lanes. *network is zero
 * before; what was made when it fails, ls_simd_network_destroy frees. LS_E_MEMORY. Local. */
ls_status ls_simd_network_create(const ls_engine *engine, int64_t lanes, int64_t max_lanes,
                                 ls_simd_network *network);

/* Frees its tables. Local. */
void ls_simd_network_destroy(ls_simd_network *network);

#endif
