#include "base/functions.h"

#include <math.h>

/* ln 2 in two parts; a product of the first one with a small integer is exact. */
static const double LN2_HIGH = 0x1.62e42fee00000p-1, LN2_LOW = 0x1.a39ef35793c76p-33;
static const double PI = 0x1.921fb54442d18p+1;

double ls_exp(double x)
{
    enum { DEGREE = 14 };
    const double limited = x < -700 ? -700 : x > 700 ? 700 : x;
    const double k = floor(limited * 0x1.71547652b82fep+0 + 0.5);
    const double r = limited - k * LN2_HIGH - k * LN2_LOW; /* |r| <= ln 2 / 2 */
    double sum = 1;
    for (int i = DEGREE; i > 0; i--) sum = 1 + sum * r * (1.0 / i);
    return ldexp(sum, (int)k);
}

double ls_log(double x)
{
    enum { LAST = 25 };
    int k;
    double m = frexp(x, &k);
    if (m < 0x1.6a09e667f3bcdp-1) { /* below sqrt(1/2) */
        m *= 2;
        k--;
    }
    /* ln m = 2 artanh s, |s| <= 0.172 */
    const double s = (m - 1) / (m + 1), square = s * s;
    double sum = 0;
    for (int i = LAST; i > 1; i -= 2) sum = (sum + 1.0 / i) * square;
    return k * LN2_HIGH + (k * LN2_LOW + (2 * s + 2 * s * sum));
}

double ls_cos_pi(double x)
{
    enum { DEGREE = 23 };
    /* As the sine of an angle within a quarter of a turn, by its series. */
    const double angle = PI * (0.5 - x), square = angle * angle;
    double sum = 1;
    for (int i = DEGREE; i > 1; i -= 2) sum = 1 - sum * square * (1.0 / (i * (i - 1)));
    return angle * sum;
}
