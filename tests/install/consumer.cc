// SPDX-License-Identifier: MIT
#include <reop/reop.h>

#include <cstdio>

int main()
{
    reop_pool_config pool = {};
    reop_engine_config config = {};
    reop_engine *engine;

    pool.op_count = 4;
    if (reop_pool_create(&pool, &config.pool) != 0 || reop_engine_create(&config, &engine) != 0)
        return 1;
    std::puts(reop_engine_backend(engine));
    return reop_engine_destroy(engine) != 0 || reop_pool_destroy(config.pool) != 0;
}
