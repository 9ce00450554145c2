/** Name from the DOM library that the type declarations of Connect use; Node has the class `Headers` but not this alias. */
type HeadersInit = ConstructorParameters<typeof Headers>[0];
