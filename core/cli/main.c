/* main.c: the program's first function; everything else is in the library, where tests reach it. */
#include "core/cli/cli.h"

int main(int count, char **argument)
{
    return hg_cli_main(count, argument);
}
