/**
 * Names from the DOM library that the type declarations of playwright-core, which tests use, refer to. No test touches an element
 * outside of a page, so they are nothing here.
 */
type Node = never;
type HTMLElement = never;
type SVGElement = never;
type HTMLElementTagNameMap = Record<string, never>;
