import { SerializerSelector } from '@fastify/fast-json-stringify-compiler';

/*
 * A run starts hundreds of services, all with the same schemas. Compiling their serializers took most of the 0.5 s that
 * each start costs, so these are kept from one service to the next.
 */
const compile = SerializerSelector();
type Compile = ReturnType<typeof compile>;
const kept = new Map<string, Map<string, ReturnType<Compile>>>();

/** Fastify's own compiler, which compiles a schema once in each worker. */
export const buildSerializerOnce: typeof compile = (sharedSchemas, options) => {
  const shared = JSON.stringify([sharedSchemas, options]);
  const serializers = kept.get(shared) ?? new Map<string, ReturnType<Compile>>();
  kept.set(shared, serializers);
  const compileShared = compile(sharedSchemas, options);
  return (route) => {
    const schema = JSON.stringify(route.schema);
    const serializer = serializers.get(schema) ?? compileShared(route);
    serializers.set(schema, serializer);
    return serializer;
  };
};
