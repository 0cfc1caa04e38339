// Cornerstone's CPU rendering gives a canvas as many pixels as it has CSS pixels, and counts in those everywhere. On a
// screen with more of them its picture would be enlarged and blurred, so a canvas only seems to be that small.

const { prototype } = HTMLCanvasElement;

/**
 * Give a canvas, and whatever size it is set to from now on, all pixels that the screen has in its place.
 * @param {HTMLCanvasElement} canvas which says its size, and is drawn on after setTransform, in CSS pixels as before.
 */
export function sharpen(canvas) {
  const context = canvas.getContext("2d");
  let ratio = 1;
  for (const side of ["width", "height"]) {
    const { set } = Object.getOwnPropertyDescriptor(prototype, side);
    let told = canvas[side];
    Object.defineProperty(canvas, side, {
      get: () => told,
      set: (value) => {
        [told, ratio] = [value, window.devicePixelRatio];
        set.call(canvas, Math.round(value * ratio));
      },
    });
    canvas[side] = told;
  }
  const transform = context.setTransform.bind(context);
  context.setTransform = (...matrix) => transform(...matrix.map((each) => each * ratio));
}
