/*
 * Expressions that make PostgreSQL write a row as the JSON that callers get. Taking a dozen columns of each row apart in
 * Node and writing them down again took three times as long, on the one core that Node has.
 */

export interface JsonField {
  /** The field's value in SQL. */
  sql: string;
  /** The field's JSON in SQL, as text. */
  json: string;
}

/** An integer or a boolean, never null: its text is its JSON. */
export function plainField(sql: string): JsonField {
  return { sql, json: sql };
}

/** Text in which nothing needs an escape, such as a SKU; never null. */
export function bareTextField(sql: string): JsonField {
  return { sql, json: `'"' || ${sql} || '"'` };
}

export function textField(sql: string): JsonField {
  return { sql, json: `to_json(${sql})` };
}

export function nullableField(sql: string): JsonField {
  return { sql, json: `coalesce(to_json(${sql})::text, 'null')` };
}

/** A numeric amount as JavaScript writes the number. */
export function moneyField(sql: string): JsonField {
  return { sql, json: `trim_scale(${sql})` };
}

export function timeField(sql: string): JsonField {
  return { sql, json: isoTime(sql) };
}

/**
 * PostgreSQL's JSON of a time leaves out zeros at the end of its fraction: a microsecond more makes it write six digits,
 * and the last three are cut off. to_char would take twice as long.
 */
function jsonTime(sql: string): string {
  return `left(to_json(${sql} at time zone interval '0' + interval '1 microsecond')::text, -4)`;
}

const LONGEST_TIME_LENGTH = '120260-01-02T03:04:05.678'.length;

/** As JavaScript writes a time: a year of more than four digits has a sign, and six of them. */
function isoTime(sql: string): string {
  return `case when ${sql} < timestamptz '10000-01-01 00:00+00' then ${jsonTime(sql)}
               else '"+' || lpad(substr(${jsonTime(sql)}, 2), ${LONGEST_TIME_LENGTH}, '0') end || 'Z"'`;
}

/** An object of these members, in their order, as text. */
export function jsonObject(fields: Readonly<Record<string, JsonField>>): string {
  const members = Object.entries(fields).map(([name, { json }]) => `"${name}":' || ${json}`);
  return `'{${members.join(` || ',`)} || '}'`;
}
