/* SPDX-License-Identifier: MIT */
#include <reop/reop.h>

#include <stdio.h>

int main(void)
{
    reop_pool_config pool = {.op_count = 4};
    reop_engine_config config = {0};
    reop_engine *engine;

    if (reop_pool_create(&pool, &config.pool) != 0 || reop_engine_create(&config, &engine) != 0)
        return 1;
    puts(reop_engine_backend(engine));
    return reop_engine_destroy(engine) != 0 || reop_pool_destroy(config.pool) != 0;
}
