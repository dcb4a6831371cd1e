#include "data_options.h"

void cli_data_defaults(cli_data *data)
{
    *data = (cli_data){.generate = {.dtype = LS_FLOAT64}};
    ls_make_classification_defaults(&data->generate.data);
}

int cli_data_complete(const cli_command *command, cli_data *d)
{
    ls_make_classification *data = &d->generate.data;
    if (d->given[CLI_TRAIN_SIZE] && !(d->generate.train_size > 0))
        return cli_usage_error(command,
                               "--train-size: %g is neither a share between 0 and 1 nor a number of rows",
                               d->generate.train_size);
    data->random_state = (uint32_t)d->random_state;
    data->weights = d->weights.values;
    data->n_weights = d->weights.n;
    if (d->shift.given) {
        data->shift = d->shift.values;
        data->n_shift = d->shift.n;
    }
    if (d->scale.given) {
        data->scale = d->scale.values;
        data->n_scale = d->scale.n;
    }
    return -1;
}

const char *cli_data_given(const cli_data *data, const cli_option *options)
{
    for (; options->kind != CLI_END; options++)
        if (options->given >= data->given && options->given < data->given + CLI_N_DATA_OPTIONS &&
            *options->given)
            return options->name;
    return NULL;
}

void cli_data_free(cli_data *data)
{
    cli_doubles_free(&data->weights);
    cli_doubles_free(&data->shift);
    cli_doubles_free(&data->scale);
}
