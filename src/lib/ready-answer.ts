/** A resource as it is sent, and the version that its ETag tells. */
export interface ReadyAnswer {
  version: number;
  json: string;
}

/** One of several that were read together. */
export interface ReadyRow extends ReadyAnswer {
  id: number;
}

export function toReadyAnswer(resource: { version: number }): ReadyAnswer {
  return { version: resource.version, json: JSON.stringify(resource) };
}
