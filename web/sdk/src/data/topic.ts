// Which topics a pattern names; the same rule as the server's.

/** `*` stands for any one word, `**` at the end for all that follows. */
export function topicMatches(pattern: string, topic: string): boolean {
  const patterns = pattern.split("/");
  const words = topic.split("/");
  for (const [at, part] of patterns.entries()) {
    if (part === "**") return at === patterns.length - 1 && words.length > at;
    if (words[at] === undefined || (part !== "*" && part !== words[at])) return false;
  }
  return patterns.length === words.length;
}
