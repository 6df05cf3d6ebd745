// What the page keeps in the browser, from one visit to the next.

export function recall(key: string): string {
  try {
    return localStorage.getItem(`roundtable.${key}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`roundtable.${key}`, value);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
}
