import { readDatabaseUrl } from './db/database-url.ts';
import { isHostName, isNetwork } from './lib/networks.ts';
import { StartupError } from './lib/startup-error.ts';
import { SETTINGS, type SettingOf, type WordOf } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads settings one by one and collects what is wrong with them. An empty setting counts as not set. */
export class SettingsReader {
  readonly faults: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** @throws StartupError with a line for each fault */
  throwFaults(): void {
    if (this.faults.length === 0) return;
    const lines = this.faults.map((fault) => `  ${fault}.`);
    throw new StartupError(['Wrong settings:', ...lines, 'See .env.example.'].join('\n'));
  }

  text(name: SettingOf<'text'>, production: boolean): string {
    const setting: { fallback: string; inProduction?: string } = SETTINGS[name];
    const { fallback, inProduction = fallback } = setting;
    return this.#env[name] || (production ? inProduction : fallback);
  }

  word<Name extends SettingOf<'word'>>(name: Name): WordOf<Name> {
    const { words, fallback } = SETTINGS[name];
    const text = this.#env[name];
    if (!text) return fallback;
    const found = words.find((word) => word === text);
    if (found === undefined) this.faults.push(`${name} must be one of ${words.join(', ')}, not "${text}"`);
    return found ?? fallback;
  }

  integer(name: SettingOf<'integer'>): number {
    const { fallback, min, max } = SETTINGS[name];
    const text = this.#env[name];
    if (!text) return fallback;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.faults.push(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
    return fallback;
  }

  currency(name: SettingOf<'currency'>): string {
    const { fallback } = SETTINGS[name];
    const text = this.#env[name] || fallback;
    if (Intl.supportedValuesOf('currency').includes(text)) return text;
    this.faults.push(`${name} must be a currency of ISO 4217 such as EUR, not "${text}"`);
    return fallback;
  }

  flag(name: SettingOf<'flag'>): boolean | undefined {
    const text = this.#env[name];
    if (!text) return undefined;
    if (text === 'true' || text === '1') return true;
    if (text === 'false' || text === '0') return false;
    this.faults.push(`${name} must be true or false, not "${text}"`);
    return undefined;
  }

  /** Networks and addresses, apart by commas: all of them must be named, because a proxy that is believed speaks for any caller. */
  networks(name: SettingOf<'networks'>): readonly string[] {
    const text = this.#env[name];
    if (!text || text === 'false') return [];
    const networks = text.split(',').map((part) => part.trim());
    if (networks.every(isNetwork)) return Object.freeze(networks);
    this.faults.push(
      `${name} must be a list of networks such as loopback,uniquelocal or 10.0.0.0/8, not "${text}"`,
    );
    return [];
  }

  hostNames(name: SettingOf<'host names'>): readonly string[] {
    const text = this.#env[name];
    if (!text) return [];
    const names = text.split(',').map((part) => part.trim());
    if (names.every(isHostName)) return Object.freeze(names);
    this.faults.push(
      `${name} must be a list of host names without ports, such as shop.test,192.168.1.5, not "${text}"`,
    );
    return [];
  }

  databaseUrl(name: SettingOf<'database URL'>): string | undefined {
    const text = this.#env[name];
    if (!text) return undefined;
    const { fault } = readDatabaseUrl(text);
    if (fault !== undefined) this.faults.push(`${name} ${fault}`);
    return text;
  }
}
