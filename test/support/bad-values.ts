/** What people and programs send by mistake or on purpose. */

/** Where a name of something that exists is wanted. */
export const BAD_NAMES = [
  ...['nosuch', '', ' ', '-', '.', '..', '../../etc/passwd', 'a/b', 'a%2fb', '%00', 'NaN', 'null', '*'],
  ...[
    'WEB',
    'web ',
    "web'; drop table guests",
    '\u001b[2J',
    'web\n',
    'café',
    '💥',
    'a'.repeat(300),
    'a'.repeat(20_000),
  ],
] as const

/** Where text, a number, a size or a duration is wanted. */
export const BAD_WORDS = [
  ...['', ' ', '-1', '0', '0.5', '1e309', 'NaN', 'Infinity', 'null', 'true', '0x10', '１'],
  ...['99999999999999999999', '1GiBs', '-1GiB', '1M', ',', 'a,,b', '../x', '\u001b[31mred\u0007', 'x\ny', '💥'],
  'a'.repeat(20_000),
] as const

/** Where any JSON value may be sent. */
export const BAD_JSON = [
  ...[null, true, false, 0, -1, 0.5, 1e308, 2 ** 53, '', 'x', 'NaN', '\u001b[2J\u0000', 'a'.repeat(20_000)],
  ...[[], [null], [[]], {}, { a: 1 }, { __proto__: null, constructor: 1 }],
] as const
